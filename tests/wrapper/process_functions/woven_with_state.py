# Written by `python -m tests.wrapper.test_process_text`, for
# Way(kind='DoFn', takes='woven', gives='keyed', takes_arguments=True, has_state=True)


def make():
    def process(element, *args, **kwargs):
        provenance, value = element
        call, args = watch(provenance, args)
        try:
            results = function(value, *args, **kwargs)
            refuse_text(results)
        except Exception as error:
            note(error, provenance)
            raise error
        return outputs(results, call)
    return process, None
