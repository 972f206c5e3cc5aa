# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='woven', traces=True)


def make():
    def later(provenance, results):
        try:
            for result in results:
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
    def process(element):
        provenance, value = element
        run = function if len(provenance) != 16 or provenance[9] < sampled else traced(provenance)
        try:
            results = run(value)
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
                packed = []
                for result in results:
                    packed.append((provenance, result) if result.__class__ in ordinary else pack(provenance, result))
                return packed
            return ()
        if results is None:
            return ()
        refuse_text(results)
        return later(provenance, results)
    return process, None
