"""A vocabulary of subwords, learnt from sentences by byte-pair encoding."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")  # tokens 0 to 3 of every vocabulary


class Vocabulary:
    """Sentences as token numbers and back.

    Parameters
    ----------
    sentences
        What to learn the subwords from.
    size
        Tokens at most, the four special ones and every single letter included.

    Raises
    ------
    ValueError
        If there is no sentence.

    References
    ----------
    R. Sennrich, B. Haddow and A. Birch, "Neural machine translation of rare words with subword units",
    ACL 2016.
    """

    def __init__(self, sentences: Iterable[str], size: int):
        sentences = list(sentences)
        if not sentences:
            raise ValueError("a vocabulary cannot be learnt from an empty corpus: pass one sentence or more")
        self.tokenizer = Tokenizer(models.BPE(unk_token=SPECIAL[3]))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
        )
        self.tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL), show_progress=False)
        self.tokenizer.train_from_iterator(sentences, trainer)

    def __len__(self) -> int:
        return self.tokenizer.get_vocab_size()

    def encode(self, sentences: Iterable[str]) -> list[list[int]]:
        """Token numbers of every sentence, the end token last."""
        return [[*found.ids, 2] for found in self.tokenizer.encode_batch(list(sentences))]

    def decode(self, sentences: Iterable[list[int]]) -> list[str]:
        """Text of every sentence, special tokens left out."""
        return self.tokenizer.decode_batch([list(sentence) for sentence in sentences])
