"""The sections of params.yaml that say how many training cases there are, and what for."""

from typing import Annotated

from lassl.settings.values import Count, Positive, Section, plugin_name


class Cases(Section):
    """The use of training cases: which are unlabeled, and how many labeled ones are held out to choose a snapshot.

    `tuning` labeled cases are scored instead of the test cases, to choose settings; 0: the test cases are scored.
    """

    unlabeled: Annotated[str, plugin_name("rest")]
    held_out: Count
    tuning: Count = 0  # older records lack it


class Counts(Section):
    """Numbers of labeled and unlabeled training cases."""

    labeled: Positive
    unlabeled: Count


class Labels(Section):
    """Numbers of training cases for the seven rows; `all`: labeled ones. Only the methods' copies are read."""

    few: Counts
    more: Counts
    fewest: Counts
    all: Positive
