# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='woven', notes_filtered=True, tallies=True)


def make():
    def later(provenance, results):
        result = absent
        try:
            for result in results:
                gave(provenance)
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
        if result is absent:
            missed(provenance)
        if result is absent and provenance[9:] >= least:
            yield from note_filtered(provenance)
        if result is not absent:
            given_later(provenance)
    def process(element):
        provenance, value = element
        took(provenance)
        try:
            results = function(value)
            match results:
                case [result]:
                    if result.__class__ in ordinary:
                        return ((provenance, result),)
        except Exception as error:
            note(error, provenance)
            raise error
        kind = results.__class__
        if kind is list or kind is tuple:
            if len(results) == 1:
                (result,) = results
                if result.__class__ in ordinary:
                    return ((provenance, result),)
                return (pack(provenance, result),)
            if results:
                gave_more(provenance, len(results))
                packed = []
                for result in results:
                    packed.append((provenance, result) if result.__class__ in ordinary else pack(provenance, result))
                return packed
            missed(provenance)
            return note_filtered(provenance) if provenance[9:] >= least else ()
        if results is None:
            missed(provenance)
            return note_filtered(provenance) if provenance[9:] >= least else ()
        refuse_text(results)
        return later(provenance, results)
    return process, None
