# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='generator', takes='woven', gives='woven', notes_filtered=True)


def make():
    def later(provenance, results):
        result = absent
        try:
            for result in results:
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
        if result is absent and provenance[9:] >= least:
            yield from note_filtered(provenance)
    def process(element):
        provenance, value = element
        result = absent
        try:
            for result in function(value):
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
        if result is absent and provenance[9:] >= least:
            yield from note_filtered(provenance)
    return process, None
