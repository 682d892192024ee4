"""Trains the model that the yaml file names, and tests it once."""

from pathlib import Path

import recbole_symcere
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed

config = Config(config_file_list=[str(Path(__file__).with_name("shop.yaml"))])
init_seed(config["seed"], config["reproducibility"])
init_logger(config)
dataset = create_dataset(config)
train_data, valid_data, test_data = data_preparation(config, dataset)

init_seed(config["seed"], config["reproducibility"])
model = get_model(config["model"])(config, train_data.dataset).to(config["device"])
trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
trainer.fit(train_data, valid_data)
result = trainer.evaluate(test_data)
print(config["model"], "on test:", ", ".join(f"{k} {v:.4f}" for k, v in result.items()))
