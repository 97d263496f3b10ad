#!/usr/bin/env bash
#SBATCH --job-name=cryowae
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=01:00:00
#SBATCH --output=logs/%A_%a.out
# For a GPU, add: #SBATCH --gpus=1
#
# One tomogram per job:  mkdir -p logs; sbatch --array=1-"$(ls tomograms/*.mrc | wc -l)" slurm_array.sh
set -euo pipefail

environment=.venv        # where cryowae is installed
tomograms=tomograms      # NAME.mrc, each with NAME.tlt or another file of tilt angles
restored=restored        # NAME_restored.mrc and its picture go here

mapfile -t files < <(find "$tomograms" -maxdepth 1 -name '*.mrc' | sort)
file=${files[SLURM_ARRAY_TASK_ID - 1]}
name=$(basename "$file" .mrc)
result=$restored/${name}_restored.mrc

export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
"$environment/bin/cryowae" restore "$file" --output "$result" --skip-existing
