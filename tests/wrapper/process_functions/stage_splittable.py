# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', is_stage=True, takes_arguments=True, is_splittable=True)


def make():
    taken = out = filtered = 0
    def read():
        return taken, out, filtered
    def process(element, *args, **kwargs):
        nonlocal taken, out, filtered
        taken += 1
        before = out
        try:
            results = function(element, *args, **kwargs)
            for result in () if results is None else results:
                out += 1
                yield result
        except Exception as error:
            raise
        if out == before:
            filtered += 1
    return process, read
