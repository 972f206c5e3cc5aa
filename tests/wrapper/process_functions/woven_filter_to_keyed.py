# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Filter', takes='woven', gives='keyed')


def make():
    def later(provenance, results):
        try:
            for result in results:
                yield (result[0], (provenance, result[1])) if result.__class__ in ordinary and len(result) == 2 else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
    def process(element):
        provenance, value = element
        try:
            if not function(value):
                return ()
        except Exception as error:
            note(error, provenance)
            raise error
        key, value = value
        return ((key, (provenance, value)),)
    return process, None
