# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Filter', takes='keyed', gives='woven')


def make():
    def later(provenance, results):
        try:
            for result in results:
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
    def process(element):
        key, (provenance, value) = element
        value = (key, value)
        try:
            if not function(value):
                return ()
        except Exception as error:
            note(error, provenance)
            raise error
        return ((provenance, value),)
    return process, None
