# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='woven', is_stage=True, takes_arguments=True, is_splittable=True)


def make():
    taken = out = filtered = 0
    def read():
        return taken, out, filtered
    def process(element, *args, **kwargs):
        nonlocal taken, out, filtered
        provenance, value = element
        taken += 1
        before = out
        try:
            results = function(value, *args, **kwargs)
            for result in () if results is None else results:
                out += 1
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
        if out == before:
            filtered += 1
    return process, read
