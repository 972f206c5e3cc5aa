# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='FlatMap', takes='keyed', gives='keyed', is_stage=True, notes_filtered=True)


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
                yield (result[0], (provenance, result[1])) if result.__class__ in ordinary and len(result) == 2 else pack(provenance, result)
        except Exception as error:
            note(error, provenance)
            raise error
        if result is absent and provenance[9:] >= least:
            yield from note_filtered(provenance)
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
        key, (provenance, value) = element
        value = (key, value)
        try:
            results = function(value)
            if results.__class__ is list:
                pass
            elif results.__class__ is lazy_kind:
                for result in results:
                    break
                else:
                    others += 1
                    filtered += 1
                    return note_filtered(provenance) if provenance[9:] >= least else ()
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
                    key, result = result
                    return ((key, (provenance, result)),)
                return (pack(provenance, result),)
        others += 1
        if results:
            out += len(results)
            packed = []
            for result in results:
                packed.append((result[0], (provenance, result[1])) if result.__class__ in ordinary and len(result) == 2 else pack(provenance, result))
            return packed
        filtered += 1
        return note_filtered(provenance) if provenance[9:] >= least else ()
    return process, read
