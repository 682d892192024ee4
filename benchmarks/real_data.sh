#!/usr/bin/env bash
# The tables of benchmarks/results/: every model on two real data sets, five seeds, the same small
# search on validation for each. DATA is a folder with
#   reviews_Musical_Instruments_5.json.gz   Amazon 2014, https://jmcauley.ucsd.edu/data/amazon/
#   tripadvisor_lara_3core.jsonl.gz         LARA hotel reviews as JSON lines (user_id, item_id,
#                                           rating, timestamp, text), 3-core
# Stopped, it goes on where it was:  benchmarks/real_data.sh DATA OUT
set -euo pipefail
DATA=$1 OUT=$2
RUN="${PYTHON:-.venv/bin/python} run_recbole_symcere.py"
[ -d "$OUT/data/musical_instruments" ] || $RUN convert amazon2014 --name musical_instruments \
    --input "$DATA/reviews_Musical_Instruments_5.json.gz" --k_core 5 --output_dir "$OUT/data"
[ -d "$OUT/data/tripadvisor" ] || $RUN convert generic --name tripadvisor \
    --input "$DATA/tripadvisor_lara_3core.jsonl.gz" --output_dir "$OUT/data"
MODELS=Pop,ItemKNN,EASE,BPR,LightGCN,SymCERE,DirectAU,XSimGCL,CollabContext,SMORET,DGCLR,SimGCL
MODELS=$MODELS,AlphaRec,NGCF,NeuMF,RLMRecCon,SGL,SymCEREPlus
for name in musical_instruments tripadvisor; do
    $RUN compare --models=$MODELS --datasets=$name --data_path="$OUT/data" --out="$OUT/$name" \
        --untuned=SymCERE,SymCEREPlus --seeds=0,1,2,3,4 --tune=4 --epochs=100 --eval_step=5 --stopping_step=4 --jobs=2
done
