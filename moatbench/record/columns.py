"""The words of a record."""

WORST_CASE = "worst_case"
SHIFTED = ("label_agreement", "accuracy_lost", "l1_mean", "l1_p99", "refused", "alarmed_accounts")
POOL = "pool"  # inputs and no answers: the best constant answer is all that they give
POOL_LABELS = "pool_labels"  # inputs with their true labels: a model of one's own
FLOORS = {
    POOL: "the best constant answer",
    POOL_LABELS: "a model of the published family, trained on the pool with its true labels, "
    "or the best constant answer where that is better",
}
MEASURES = (
    "label_agreement",
    "accuracy_lost",
    "l1_mean",
    "l1_p99",
    "l1_max",
    "ece",
    "ece_undefended",
)
