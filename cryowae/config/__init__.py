"""Configurations of training runs, simulated scenes and benchmarks."""

from cryowae.config.scene import ImagingConfig, MoleculesConfig, ReconstructionConfig, SceneConfig, load_scene
from cryowae.config.suite import MethodConfig, SuiteConfig, SuiteScene, load_suite
from cryowae.config.training import DataConfig, MatchConfig, ModelConfig, TrainConfig, load_config, parse_config

__all__ = [
    "DataConfig",
    "ImagingConfig",
    "MatchConfig",
    "MethodConfig",
    "ModelConfig",
    "MoleculesConfig",
    "ReconstructionConfig",
    "SceneConfig",
    "SuiteConfig",
    "SuiteScene",
    "TrainConfig",
    "load_config",
    "load_scene",
    "load_suite",
    "parse_config",
]
