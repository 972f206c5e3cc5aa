# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='woven', is_stage=True, takes_arguments=True, has_state=True, tallies=True)


def make():
    left = given = min(rate, 1)
    out = kept = filtered = others = 0
    def read():
        taken = given - left
        return taken, taken - others + out, filtered
    def refused(provenance, value, error):
        try:
            letters = refuse(value, error, provenance)
        except Exception as raised:
            note(raised, provenance)
            raise raised
        died(provenance)
        return letters
    def process(element, *args, **kwargs):
        nonlocal left, given, out, filtered, others
        left -= 1
        if not left:
            left, given = rate + 1, given + rate
            return timed(process, element, *args, **kwargs)
        provenance, value = element
        call, args = watch(provenance, args)
        took(provenance)
        try:
            results = function(value, *args, **kwargs)
            if results.__class__ is list:
                pass
            elif results.__class__ is lazy_kind:
                for result in results:
                    break
                else:
                    others += 1
                    filtered += 1
                    return list(outputs((), call))
                for second in results:
                    iterator, results = results, [result, second]
                    for result in iterator:
                        results += [result, *islice(iterator, cap)]
                        break
                    if len(results) > cap:
                        others += 1
                        return outputs(go_on(value, results, iterator), call)
                    break
                else:
                    results = [result]
            else:
                results = settle(value, results)
                if results.__class__ is lazily:
                    others += 1
                    return outputs(results, call)
        except Exception as error:
            others += 1
            return list(outputs(refused(provenance, value, error), call))
        match results:
            case [_]:
                return list(outputs(results, call))
        others += 1
        if results:
            out += len(results)
            return list(outputs(results, call))
        filtered += 1
        return list(outputs((), call))
    return process, read
