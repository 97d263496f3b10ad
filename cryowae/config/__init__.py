"""Configurations of training runs, simulated scenes, benchmarks and 2-D baselines."""

from cryowae.config.baseline import BaselineConfig, baseline_config
from cryowae.config.scene import ImagingConfig, MoleculesConfig, ReconstructionConfig, SceneConfig, load_scene
from cryowae.config.suite import MethodConfig, SuiteConfig, SuiteScene, load_suite
from cryowae.config.training import DataConfig, ModelConfig, TrainConfig, load_config

__all__ = ["ImagingConfig", "MoleculesConfig", "ReconstructionConfig", "SceneConfig", "load_scene"]
__all__ += ["MethodConfig", "SuiteConfig", "SuiteScene", "load_suite"]
__all__ += ["BaselineConfig", "DataConfig", "ModelConfig", "TrainConfig", "baseline_config", "load_config"]
