"""Values of params.yaml that are a word of ours, or name a function or a class elsewhere."""

from pydantic import AfterValidator

from lassl.plumbing.plugins import NAMED


def plugin_name(*words: str, kind: str = "function") -> AfterValidator:
    """Accept one of our words, or a name of the form `package.module:name`: see lassl/plumbing/plugins.py.

    `kind` is what has the name: a function or a class.
    """
    form = f"a {kind}'s name as in package.module:{'Class' if kind == 'class' else kind}"

    def known(name: str) -> str:
        if name not in words and not NAMED.fullmatch(name):
            raise ValueError(f"expected {', '.join(words)}, or {form}")
        return name

    return AfterValidator(known)
