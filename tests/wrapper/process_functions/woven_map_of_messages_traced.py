# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Map', takes='woven', gives='woven', traces=True, continues=True)


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
        is_plain = (len(provenance) != 16 or provenance[9] < sampled) and provenance not in incoming
        run = function if is_plain else traced(provenance)
        try:
            result = run(value)
        except Exception as error:
            note(error, provenance)
            raise error
        if result.__class__ in ordinary:
            return ((provenance, result),)
        return (pack(provenance, result),)
    return process, None
