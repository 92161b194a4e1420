"""llama.cpp on weights as they lie in the file: the AMX path of llama-cpp-python 0.3.36, which repacks them, crashes on
some virtual machines.
"""

import llama_cpp.llama_cpp as library


def plain_weights():
    """Makes `Llama` open models without repacked weights; its constructor has no argument for it."""
    defaults = library.llama_model_default_params

    def changed():
        parameters = defaults()
        parameters.use_extra_bufts = False
        return parameters

    library.llama_model_default_params = changed
