"""The texts that process functions are made of: `process_text` fills in the lines that a way needs."""

from __future__ import annotations

from beam_obs.wrapper.element_forms import KEYED, PLAIN, WOVEN

# The functions inside of `make`, with a fragment of `_fragments` for each name in braces.

GIVING_ONE = """
def process(element{arguments}):
    {count_and_time}
    {take_apart}
    try:
        result = {call}({called_with}{arguments})
    except Exception as error:
        {refuse_or_raise}
    {give_one}
"""

FILTERING = """
def process(element{arguments}):
    {count_and_time}
    {take_apart}
    try:
        if not {call}({value}{arguments}):
            {give_nothing}
    except Exception as error:
        {refuse_or_raise}
    {count_kept}
    {pass_on}
"""

GIVING_MANY = """
def process(element{arguments}):
    {take_apart}
    try:
        results = {call}(value{arguments})
        {give_lone}
    except Exception as error:
        {refuse_or_raise}
    kind = results.__class__
    if kind is list or kind is tuple:
        if len(results) == 1:
            (result,) = results
            {give_one}
        if results:
            {count_more}
            {give_all}
        {give_nothing}
    if results is None:
        {give_nothing}
    {raise_if_text}
    return later(provenance, results)
"""

GENERATING = """
def process(element{arguments}):
    {take_apart}
    {take_as_absent}
    try:
        for result in {call}(value{arguments}):
            {count_given}
            yield {result_in_form}
    except Exception as error:
        {refuse_or_raise}
    {note_if_absent}
"""

REMEMBERING = """
def process(element{arguments}):
    {take_apart}
    try:
        results = {call}(value{arguments})
        {raise_if_text}
    except Exception as error:
        {refuse_or_raise}
    return outputs(results, call)
"""

STAGE_PASSING_ON = """
def process(element{arguments}):
    nonlocal taken, out, filtered
    {take_apart}
    taken += 1
    before = out
    try:
        results = {call}({value}{arguments})
        for result in () if results is None else results:
            out += 1
            {count_given}
            yield {result_in_form}
    except Exception as error:
        {refuse_or_raise}
    if out == before:
        filtered += 1
"""

# An element that gave one output is not counted apart: it is one that is not among the others.
STAGE_GIVING_MANY = """
def process(element{arguments}):
    {count_and_time}
    {take_apart}
    try:
        results = {call}({value}{arguments})
        {give_lone}
        if results.__class__ is list:
            {give_listed}
        elif results.__class__ is lazy_kind:
            {hold_back}
        else:
            results = settle({value}, results)
            if results.__class__ is lazily:
                others += 1
                return {settled}
    except Exception as error:
        others += 1
        {refuse_or_raise}
    {give_alone}
    others += 1
    if results:
        out += len(results)
        {count_more}
        {give_all}
    filtered += 1
    {give_nothing}
"""

STAGE_GENERATING = """
def process(element{arguments}):
    {count_and_time}
    {take_apart}
    try:
        results = {call}({value}{arguments})
        {hold_back}
    except Exception as error:
        others += 1
        {refuse_or_raise}
    {give_alone}
    others += 1
    out += len(results)
    {count_more}
    {give_all}
"""

# What a generator yields until it has ended, or more than the cap. Most yield once: two loops that break cost
# less than an islice.
HOLD_BACK = """
for result in results:
    break
else:
    others += 1
    filtered += 1
    {give_nothing}
for second in results:
    iterator, results = results, [result, second]
    for result in iterator:
        results += [result, *islice(iterator, cap)]
        break
    if len(results) > cap:
        others += 1
        return {go_on}
    break
else:
    {give_yielded}
"""

LATER = """
def later(provenance, results):
    {take_as_absent}
    try:
        for result in results:
            {count_given}
            yield {result_in_form}
    except Exception as error:
        note(error, provenance)
        raise error
    {note_if_absent}
    {count_later}
"""

REFUSED = """
def refused(provenance, value, error):
    try:
        letters = refuse(value, error, provenance)
    except Exception as raised:
        note(raised, provenance)
        raise raised
    {count_refused}
    return {letters}
"""

# One element in `rate` is timed: how many are left until the next one also says how many there were.
STAGE_COUNTS = """
left = given = min(rate, 1)
out = kept = filtered = others = 0

def read():
    taken = given - left
    return {counts}
"""

PASSING_ON_COUNTS = """
taken = out = filtered = 0

def read():
    return taken, out, filtered
"""

# The fragments, by form of elements where they have one.

TAKE_APART = {
    PLAIN: "",
    WOVEN: "provenance, value = element",
    KEYED: "key, (provenance, value) = element\nvalue = (key, value)",
}
WATCH = "\ncall, args = watch(provenance, args)"
# Of a record that is not sampled this is all that tracing costs. One byte takes half as long as a slice
# (`benchmarks/traces.py`); the few whose byte is that of the least that is sampled are looked at in `traced`.
CHOOSE_CALL = """
run = function if len(provenance) != 16 or provenance[9] < sampled else traced(provenance)"""
CHOOSE_CALL_BY_FLAG = """
is_plain = (len(provenance) != 16 or provenance[9] < sampled) and provenance not in incoming
run = function if is_plain else traced(provenance)"""
IN_FORM = {
    PLAIN: "result",
    WOVEN: "(provenance, result)",
    KEYED: "(result[0], (provenance, result[1]))",
}
PASS_ON = {
    (PLAIN, PLAIN): "return (element,)",
    (WOVEN, WOVEN): "return (element,)",
    (KEYED, KEYED): "return (element,)",
    (WOVEN, KEYED): "key, value = value\nreturn ((key, (provenance, value)),)",
    (KEYED, WOVEN): "return ((provenance, value),)",
    (WOVEN, PLAIN): "return (value,)",
    (KEYED, PLAIN): "return (value,)",
}
COUNT_AND_TIME = """
nonlocal left, given{counters}
left -= 1
if not left:
    left, given = rate + 1, given + rate
    return timed(process, element{arguments})
"""
GIVE_ONE_WOVEN = """
if result.__class__ in ordinary:
    return ((provenance, result),)
return (pack(provenance, result),)
"""
GIVE_ONE_KEYED = """
if result.__class__ in ordinary:
    key, result = result
    return ((key, (provenance, result)),)
return (pack(provenance, result),)
"""
GIVE_ONE_PLAIN = """
if result.__class__ in ordinary:
    return (result,)
return (pack(provenance, result),)
"""
GIVE_ONE = {PLAIN: GIVE_ONE_PLAIN, WOVEN: GIVE_ONE_WOVEN, KEYED: GIVE_ONE_KEYED}
# A list of one is done with at once, in 2 % fewer instructions (callgrind); what else holds one output
# is counted as several are.
GIVE_LISTED = """
match results:
    case [_]:
        return results
"""
# A pattern costs 28 ns less than to look at class and length (`benchmarks/weave.py`). One of Beam's wrappers,
# and what is no sequence of one, is seen to below.
GIVE_LONE = """
match results:
    case [result]:
        if result.__class__ in ordinary:
            return ((provenance, result),)
"""
GIVE_ALONE = """
match results:
    case [{first}]:
        {give_first}
"""
GIVE_YIELDED = """
if result.__class__ in ordinary:
    return ((provenance, result),)
results = [result]
"""
# A comprehension would make the provenance a variable that is slower to read.
GIVE_ALL_WOVEN = """
packed = []
for result in results:
    packed.append({result_in_form})
return packed
"""
NOTE_IF_ABSENT = """
if result is absent and provenance[9:] >= least:
    yield from note_filtered(provenance)
"""
TO_SETTLE = """
to_go = held_most
"""
SETTLE = """
nonlocal to_go
to_go -= 1
if not to_go:
    to_go = settle_all()
"""
COUNT_IF_ABSENT = """
if result is absent:
    missed(provenance)
"""
COUNT_LATER = """
if result is not absent:
    given_later(provenance)
"""
COUNT_REFUSED = """
died(provenance)
gave_more(provenance, len(letters))
"""
