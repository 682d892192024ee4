#!/usr/bin/env bash
# The tables of benchmarks/results/: every model on seven real data sets, the same search on
# validation for each. DATA is a folder with
#   reviews_Musical_Instruments_5.json.gz     Amazon 2014, https://jmcauley.ucsd.edu/data/amazon/
#   reviews_Digital_Music_5.head.json.gz      the same, the head of Digital_Music_5
#   Gift_Cards_5.json.gz, meta_Gift_Cards.json.gz, Magazine_Subscriptions_5.json.gz
#                                             Amazon 2018
#   food_com_sample.csv.gz                    Food.com: user_id, recipe_id, date, rating, review
#   tripadvisor_lara_3core.jsonl.gz, film_critics_5core.jsonl.gz
#                                             JSON lines: user_id, item_id, rating, timestamp, text
# With TUNED=benchmarks/results/seven_sets/runs.csv what that table's searches found isn't searched
# anew. Stopped, it goes on where it was:
#   benchmarks/real_data.sh DATA OUT [SETS, separated by commas] [MODELS]
set -euo pipefail
DATA=$1 OUT=$2
EVERY=magazine,giftcards,digital_music,food,musical_instruments,critics,tripadvisor
MODELS=Pop,ItemKNN,EASE,BPR,LightGCN,XSimGCL,SGL,SimGCL,DirectAU,NGCF,NeuMF,CollabContext,DGCLR
MODELS=$MODELS,RLMRecCon,AlphaRec,SMORET,SymCERE,SymCEREPlus
SETS=${3:-$EVERY} MODELS=${4:-$MODELS}
RUN="${PYTHON:-.venv/bin/python} run_recbole_symcere.py"

set_of() {  # NAME SOURCE FILE [OPTION...]
    name=$1 source=$2 file=$3
    shift 3
    [ -d "$OUT/data/$name" ] ||
        $RUN convert "$source" --name "$name" --input "$DATA/$file" --output_dir "$OUT/data" "$@"
}
set_of magazine amazon2018 Magazine_Subscriptions_5.json.gz --k_core 5
set_of giftcards amazon2018 Gift_Cards_5.json.gz --k_core 5 --meta "$DATA/meta_Gift_Cards.json.gz"
set_of digital_music amazon2014 reviews_Digital_Music_5.head.json.gz --k_core 5
set_of food generic food_com_sample.csv.gz --k_core 3 --item_field=recipe_id --text_field=review \
    --time_field=date
set_of musical_instruments amazon2014 reviews_Musical_Instruments_5.json.gz --k_core 5
set_of critics generic film_critics_5core.jsonl.gz
set_of tripadvisor generic tripadvisor_lara_3core.jsonl.gz

among() {  # SEPARATOR NAME...: those that are among the models, joined
    separator=$1 found=
    shift
    for model in "$@"; do
        case ",$MODELS," in *",$model,"*) found=$found$separator$model ;; esac
    done
    echo "${found#"$separator"}"
}
option() {  # NAME VALUE: nothing for no value
    [ -z "$2" ] || echo "--$1=$2"
}
BLENDED=$(option blended "$(among , LightGCN XSimGCL CollabContext)")
UNTUNED=$(option untuned "$(among , SymCEREPlus)")
FOUND=$(option tuned_by "${TUNED:-}")
# the best baseline without a blend, the same without rules in order of time, the blend alone, the
# best of the paper's own five
BEST=$(among / Pop ItemKNN EASE BPR LightGCN XSimGCL SGL SimGCL DirectAU NGCF NeuMF \
    CollabContext DGCLR RLMRecCon AlphaRec SMORET)/WordKNN
BEST=${BEST#/}
AGAINST=$BEST/SequentialRules,$BEST,Stack
PAPER=$(among / NeuMF SGL NGCF LightGCN DGCLR)
[ -z "$PAPER" ] || AGAINST=$AGAINST,$PAPER
$RUN compare --models="$MODELS" --datasets="$SETS" --data_path="$OUT/data" --out="$OUT/results" \
    --cache_dir="$OUT/cache" --against="$AGAINST" $UNTUNED $BLENDED $FOUND \
    --seeds="${SEEDS:-0,1,2}" --tune="${TRIALS:-12}" --jobs="${JOBS:-2}"
