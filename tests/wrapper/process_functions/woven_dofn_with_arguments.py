# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='woven', takes_arguments=True)


def make():
    def later(provenance, results):
        try:
            for result in results:
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
    def process(element, *args, **kwargs):
        provenance, value = element
        try:
            results = function(value, *args, **kwargs)
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
