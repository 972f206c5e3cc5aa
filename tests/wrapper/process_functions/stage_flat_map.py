# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='FlatMap', is_stage=True)


def make():
    left = given = min(rate, 1)
    out = kept = filtered = others = 0
    def read():
        taken = given - left
        return taken, taken - others + out, filtered
    def process(element):
        nonlocal left, given, out, filtered, others
        left -= 1
        if not left:
            left, given = rate + 1, given + rate
            return timed(process, element)
        try:
            results = function(element)
            if results.__class__ is list:
                match results:
                    case [_]:
                        return results
            elif results.__class__ is lazy_kind:
                for result in results:
                    break
                else:
                    others += 1
                    filtered += 1
                    return ()
                for second in results:
                    iterator, results = results, [result, second]
                    for result in iterator:
                        results += [result, *islice(iterator, cap)]
                        break
                    if len(results) > cap:
                        others += 1
                        return go_on(element, results, iterator)
                    break
                else:
                    return (result,)
            else:
                results = settle(element, results)
                if results.__class__ is lazily:
                    others += 1
                    return results
        except Exception as error:
            others += 1
            return refuse(element, error)
        others += 1
        if results:
            out += len(results)
            return results
        filtered += 1
        return ()
    return process, read
