# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='woven', is_stage=True, tallies=True)


def make():
    left = given = min(rate, 1)
    out = kept = filtered = others = 0
    def read():
        taken = given - left
        return taken, taken - others + out, filtered
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
    def refused(provenance, value, error):
        try:
            letters = refuse(value, error, provenance)
        except Exception as raised:
            note(raised, provenance)
            raise raised
        died(provenance)
        gave_more(provenance, len(letters))
        return [pack(provenance, letter) for letter in letters]
    def process(element):
        nonlocal left, given, out, filtered, others
        left -= 1
        if not left:
            left, given = rate + 1, given + rate
            return timed(process, element)
        provenance, value = element
        took(provenance)
        try:
            results = function(value)
            match results:
                case [result]:
                    if result.__class__ in ordinary:
                        return ((provenance, result),)
            if results.__class__ is list:
                pass
            elif results.__class__ is lazy_kind:
                for result in results:
                    break
                else:
                    others += 1
                    filtered += 1
                    missed(provenance)
                    return ()
                for second in results:
                    iterator, results = results, [result, second]
                    for result in iterator:
                        results += [result, *islice(iterator, cap)]
                        break
                    if len(results) > cap:
                        others += 1
                        return later(provenance, go_on(value, results, iterator))
                    break
                else:
                    if result.__class__ in ordinary:
                        return ((provenance, result),)
                    results = [result]
            else:
                results = settle(value, results)
                if results.__class__ is lazily:
                    others += 1
                    return later(provenance, results)
        except Exception as error:
            others += 1
            return refused(provenance, value, error)
        match results:
            case [result]:
                if result.__class__ in ordinary:
                    return ((provenance, result),)
                return (pack(provenance, result),)
        others += 1
        if results:
            out += len(results)
            gave_more(provenance, len(results))
            packed = []
            for result in results:
                packed.append((provenance, result) if result.__class__ in ordinary else pack(provenance, result))
            return packed
        filtered += 1
        missed(provenance)
        return ()
    return process, read
