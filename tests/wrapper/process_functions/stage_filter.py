# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Filter', is_stage=True)


def make():
    left = given = min(rate, 1)
    out = kept = filtered = others = 0
    def read():
        taken = given - left
        return taken, kept, taken - kept - guard.dead
    def process(element):
        nonlocal left, given, kept
        left -= 1
        if not left:
            left, given = rate + 1, given + rate
            return timed(process, element)
        try:
            if not function(element):
                return ()
        except Exception as error:
            return refuse(element, error)
        kept += 1
        return (element,)
    return process, read
