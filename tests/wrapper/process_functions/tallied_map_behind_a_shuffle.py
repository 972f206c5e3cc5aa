# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Map', takes='keyed', gives='woven', tallies=True, settles=True)


def make():
    to_go = held_most
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
        key, (provenance, value) = element
        value = (key, value)
        nonlocal to_go
        to_go -= 1
        if not to_go:
            to_go = settle_all()
        took(provenance)
        try:
            result = function(value)
        except Exception as error:
            note(error, provenance)
            raise error
        if result.__class__ in ordinary:
            return ((provenance, result),)
        return (pack(provenance, result),)
    return process, None
