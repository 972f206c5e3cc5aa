# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Filter', takes='woven', gives='woven', tallies=True)


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
        if result is not absent:
            given_later(provenance)
    def process(element):
        provenance, value = element
        took(provenance)
        try:
            if not function(value):
                missed(provenance)
                return ()
        except Exception as error:
            note(error, provenance)
            raise error
        return (element,)
    return process, None
