# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='Map', is_stage=True)


def make():
    left = given = min(rate, 1)
    out = kept = filtered = others = 0
    def read():
        taken = given - left
        return taken, taken - guard.dead, 0
    def process(element):
        nonlocal left, given
        left -= 1
        if not left:
            left, given = rate + 1, given + rate
            return timed(process, element)
        try:
            result = function(element)
        except Exception as error:
            return refuse(element, error)
        return (result,)
    return process, read
