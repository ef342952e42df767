"""transformers and tokenizers give the same results for a model from the hub and for its files: REPO SOURCE."""

import sys

from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

TEXTS = ["A man is eating food.", "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich", "😀 ½ [MASK]\t\n", ""]

repo, source = sys.argv[1:]

assert AutoConfig.from_pretrained(repo).to_diff_dict() == AutoConfig.from_pretrained(source).to_diff_dict()
assert AutoConfig.from_pretrained(repo, revision="v1.0").hidden_size == 384

remote, local = AutoTokenizer.from_pretrained(repo), AutoTokenizer.from_pretrained(source)
assert type(remote) is type(local)
assert remote(TEXTS, padding=True).data == local(TEXTS, padding=True).data
assert remote.decode(remote(TEXTS[0])["input_ids"]) == "[CLS] a man is eating food. [SEP]"

remote, local = Tokenizer.from_pretrained(repo), Tokenizer.from_file(f"{source}/tokenizer.json")
assert [found.ids for found in remote.encode_batch(TEXTS)] == [found.ids for found in local.encode_batch(TEXTS)]
