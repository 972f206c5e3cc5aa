# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Map', takes='woven', gives='woven', tells_origin=True, traces=True)


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
            result = run(value, provenance)
        except Exception as error:
            note(error, provenance)
            raise error
        if result.__class__ in ordinary:
            return ((provenance, result),)
        return (pack(provenance, result),)
    return process, None
