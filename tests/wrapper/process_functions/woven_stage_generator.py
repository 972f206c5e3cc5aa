# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='generator', takes='woven', gives='woven', is_stage=True)


def make():
    left = given = min(rate, 1)
    out = kept = filtered = others = 0
    def read():
        taken = given - left
        return taken, taken - others + out, filtered
    def later(provenance, results):
        try:
            for result in results:
                yield (provenance, result) if result.__class__ in ordinary else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
    def refused(provenance, value, error):
        try:
            letters = refuse(value, error, provenance)
        except Exception as raised:
            note(raised, provenance)
            raise raised
        return [pack(provenance, letter) for letter in letters]
    def process(element):
        nonlocal left, given, out, filtered, others
        left -= 1
        if not left:
            left, given = rate + 1, given + rate
            return timed(process, element)
        provenance, value = element
        try:
            results = function(value)
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
                    return later(provenance, go_on(value, results, iterator))
                break
            else:
                if result.__class__ in ordinary:
                    return ((provenance, result),)
                results = [result]
        except Exception as error:
            others += 1
            return refused(provenance, value, error)
        match results:
            case [result]:
                if result.__class__ in ordinary:
                    return ((provenance, result),)
                return (pack(provenance, result),)
        others += 1
        out += len(results)
        packed = []
        for result in results:
            packed.append((provenance, result) if result.__class__ in ordinary else pack(provenance, result))
        return packed
    return process, read
