"""What was read in public code of the field, done otherwise or wrong: sentences for the pages of methods and flaws."""

METHODS = {  # by algorithm
    "cps": "The Dice behind the published adaptive weight was broken by a broadcast, and one network's "
    "scheduler lowered the other's rate: see [broken_dice](flaws.md#broken_dice) and "
    "[crossed_schedulers](flaws.md#crossed_schedulers).",
    "mean_teacher": "DyCON, the paper of UnCL, adds a contrastive loss that reads the labels of unlabeled cases "
    "([flaws](flaws.md#seen-in-public-code-not-run-here)); UnCL itself needs none.",
    "entropy": "SSL4MIS takes labeled and unlabeled patches, ADVENT the unlabeled ones alone; both are options here.",
    "ict": "The authors' code blends the teacher's logits, not the probabilities of their formula. SSL4MIS "
    "declares the parameter of the Beta distribution as an integer, so that on the command line no fraction can be "
    "given, and names its two unlabeled patches by their numbers, whatever the batch.",
    "bcp": "The checkpoints of both stages are those that are best on the test cases, as its author confirms; "
    "the paper does not say so. Its test script keeps the largest component by default. The box never takes the last "
    "place that it could. The rate falls tenfold every 2500 of 15000 iterations, so the last half hardly trains. On "
    "another data set (ACDC, 7 labels) mixing one way gives the same Dice, as its author reproduced; with 3 labels it "
    "does not.",
    "admt": "Partners of CutMix come from a random permutation: with two patches, every second step "
    "mixes each with itself. Student and teacher are scored on the test cases every four epochs and the best is "
    "reported; in its own logs the last weights are 0.3 to 0.4 Dice points lower (4 and 8 labels).",
    "fixmatch": "FixMatch in SSL4MIS teaches voxels under the threshold as background "
    "([flaws](flaws.md#seen-in-public-code-not-run-here)), updates a teacher that it never asks, and applies softmax "
    "twice in its complementary loss.",
    "unimatch": "The authors' code for medical images is of two dimensions; figures on the left atrium are from "
    "CrossMatch's table. CrossMatch, which builds on it, multiplies its confidence threshold by ln 2, as if it were "
    "an entropy, and so masks almost nothing.",
    "vat": "In SS-Net the background is left out of the memory of features, so its term for the "
    "separation of classes compares foreground with foreground alone; features are sorted from the lowest score, "
    "where the comment says the highest. That term is not here.",
    "rdrop": "R-Drop for volumes in SSL4MIS has two networks, and its softmax runs along an axis of space "
    "([flaws](flaws.md#seen-in-public-code-not-run-here)).",
    "dtc": "The published figure (89.42) keeps the largest component of each prediction, as its test script "
    "does by default; the summary here does not. The distance map of a patch without foreground is 0 everywhere, as "
    "if all of it were surface, and of one full of it 0 / 0. At steepness 1500 gradients reach the map only within "
    "some thousandths of the surface. The cross-entropy is computed and not added; the test script loads a file that "
    "the training never writes. Its author says that seeds and GPUs differ by 0.8 Dice points, and that the released "
    "model is of a better seed.",
    "urpc": "The logarithm is taken of the softmax, so that it is infinite where a probability is 0; here it is "
    "the log-softmax.",
    "mcnet": "The code came out in 2022 with MC-Net+ and calls its MC-Net similar to the one of 2021, whose "
    "figure (90.34) is older. The paper calls the sharpened maps pseudo-labels; in the code gradients pass through "
    "them. Pairs are summed, so that consistency weighs three times as much with three decoders as with two. Weights "
    "are scored on the test cases every 200 iterations, and the best are kept.",
    "cct": "SSL4MIS has it in two dimensions, with decoders that learn from labels; the 3-D one of XNet "
    "never uses its auxiliary decoders ([flaws](flaws.md#seen-in-public-code-not-run-here)).",
}
NOT_RUN = (  # flaws that no setting or small part of ours can show
    "**Labels of unlabeled cases in a loss.** DyCON's contrastive loss forms its pairs by the true labels of the "
    "unlabeled cases, as its author confirms in the repository's issues. An algorithm here is given no such labels: "
    "`batch.label` has those of the labeled cases alone.",
    "**Softmax along an axis of space.** The 3-D R-Drop of SSL4MIS normalizes over the last axis, which is z, and not "
    "over the classes. The divergence that it lowers is between profiles along z.",
    "**Voxels below a threshold taught as background.** FixMatch in SSL4MIS sets the pseudo-label of uncertain voxels "
    "to class 0 and learns it, where they are to be left out of the loss.",
    "**Decoders that are never used.** The 3-D CCT of XNet has auxiliary decoders, but all four outputs come from the "
    "main one: what is compared is one decoder with itself.",
)
