"""The trainer keeps every promise that sweeps lean on, and learns."""

from raysweep_bag_of_words.trainer import BagOfWords, BagOfWordsTrainer

from raysweep.testing.toy_data import TOY_TASK
from raysweep.testing.trainers import TrainerConformance


class TestBagOfWords(TrainerConformance):
    look_s = 0.0
    busy_epochs = 1e6
    params = {"n_epochs": 2, "n_features": 64}
    preload = ("sklearn.linear_model", "raysweep.testing.trainers", "pytest")

    def make_trainer(self):
        return BagOfWordsTrainer(BagOfWords(), TOY_TASK)

    def test_it_learns_what_words_tell(self):
        last = self.run(self.spec("job", (20.0,))).evaluations[-1]

        assert last.metrics["val_accuracy"] == 1.0

    def test_words_in_a_row_can_count(self):
        trainer = BagOfWordsTrainer(BagOfWords(n_grams=2), TOY_TASK)
        job = trainer.submit(self.spec("pairs"), self.data(trainer))

        model = self.follow(job).end.model

        assert len(self.splits.test) == len(trainer.predict(model, self.splits.test))
