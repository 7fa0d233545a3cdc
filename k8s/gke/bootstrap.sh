#!/usr/bin/env bash
# Creates the resources that Seatrial needs in a Google Cloud project, and prints the settings for them. Existing
# resources are kept, so it may run again. It never deletes anything.
#
#   k8s/gke/bootstrap.sh --project PROJECT [--dry-run]
#
#   --project PROJECT    the project's id (required)
#   --location LOCATION  of dataset and bucket, which BigQuery needs in the same place; default US, as its public data
#   --zone ZONE          of the cluster; default us-central1-b. The image repositories are in its region
#   --machine-type TYPE  of the cluster's three nodes; default e2-standard-4
#   --dry-run            print every command without running it
#
# Needs gcloud and bq (https://cloud.google.com/sdk/docs/install), logged in as an owner of the project, and kubectl.
set -euo pipefail

project='' location=US zone=us-central1-b machine_type=e2-standard-4 dry_run=''

usage() {
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
}

fail() {
  printf '%s\n\n' "$1" >&2
  usage >&2
  exit 2
}

while (($#)); do
  case $1 in
    --dry-run) dry_run=yes ;;
    --help | -h) usage; exit 0 ;;
    --project | --location | --zone | --machine-type)
      (($# > 1)) || fail "$1 needs a value."
      name=${1#--}
      printf -v "${name//-/_}" '%s' "$2"
      shift
      ;;
    *) fail "Unknown argument: $1" ;;
  esac
  shift
done

# https://cloud.google.com/resource-manager/docs/creating-managing-projects#before_you_begin
[[ $project =~ ^[a-z][a-z0-9-]{4,28}[a-z0-9]$ ]] || fail '--project needs a project id, such as my-project.'
[[ $zone =~ ^[a-z]+-[a-z]+[0-9]+-[a-z]$ ]] || fail '--zone needs a zone, such as us-central1-b.'
[[ $location =~ ^(US|EU|[a-z]+-[a-z]+[0-9]+)$ ]] || fail '--location needs US, EU or a region, such as europe-west4.'
[[ $machine_type =~ ^[a-z0-9-]+$ ]] || fail '--machine-type needs a type, such as e2-standard-4.'

readonly project location zone machine_type dry_run
readonly region=${zone%-*} dataset=seatrial bucket=$project-seatrial cluster=seatrial
readonly worker=seatrial-worker@$project.iam.gserviceaccount.com
readonly nodes=seatrial-nodes@$project.iam.gserviceaccount.com
readonly registry=$region-docker.pkg.dev/$project

heading() {
  printf '\n# %s\n' "$1"
}

# Print a command with shell quoting.
show() {
  local word line=''
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=@%+,-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
    line+=" $word"
  done
  printf '%s\n' "${line:1}"
}

run() {
  show "$@"
  [[ $dry_run ]] || "$@" >/dev/null
}

# ensure LOOK… -- CREATE…   run CREATE unless LOOK succeeds.
ensure() {
  local look=()
  while [[ $1 != -- ]]; do
    look+=("$1")
    shift
  done
  shift
  if [[ ! $dry_run ]] && "${look[@]}" >/dev/null 2>&1; then
    printf '# exists: %s\n' "$(show "${look[@]}")"
  else
    run "$@"
  fi
}

# A new service account is not known everywhere at once; retry:
# https://cloud.google.com/iam/docs/service-accounts-create#creating
retry() {
  local tries=6
  until run "$@"; do
    ((--tries)) || return 1
    sleep 10
  done
}

grant() {
  local role=$1 member=$2
  retry gcloud projects add-iam-policy-binding "$project" --member="serviceAccount:$member" --role="$role" \
    --condition=None
}

heading 'APIs'
run gcloud services enable --project="$project" \
  artifactregistry.googleapis.com bigquery.googleapis.com compute.googleapis.com container.googleapis.com \
  iam.googleapis.com iamcredentials.googleapis.com storage.googleapis.com

heading 'Dataset of models and bucket of their versions, in one location'
ensure bq --project_id="$project" show --dataset "$project:$dataset" \
  -- bq --project_id="$project" --location="$location" mk --dataset "$project:$dataset"
ensure gcloud storage buckets describe "gs://$bucket" --project="$project" \
  -- gcloud storage buckets create "gs://$bucket" --project="$project" --location="$location" \
  --uniform-bucket-level-access --public-access-prevention
run gcloud storage buckets update "gs://$bucket" --project="$project" --versioning

heading "Image repositories: Seatrial's own, and the models', which workers write to"
for repository in seatrial seatrial-models; do
  ensure gcloud artifacts repositories describe "$repository" --project="$project" --location="$region" \
    -- gcloud artifacts repositories create "$repository" --project="$project" --location="$region" \
    --repository-format=docker
done

heading 'Service accounts of the workers and of their nodes'
for account in seatrial-worker seatrial-nodes; do
  ensure gcloud iam service-accounts describe "$account@$project.iam.gserviceaccount.com" --project="$project" \
    -- gcloud iam service-accounts create "$account" --project="$project"
done

heading 'Rights of the nodes: report on themselves, pull images'
grant roles/container.defaultNodeServiceAccount "$nodes"
for repository in seatrial seatrial-models; do
  retry gcloud artifacts repositories add-iam-policy-binding "$repository" --project="$project" --location="$region" \
    --member="serviceAccount:$nodes" --role=roles/artifactregistry.reader
done

heading 'Rights of the workers: run BigQuery jobs, write to this dataset, this bucket and the repository of models'
grant roles/bigquery.jobUser "$worker"
retry bq --project_id="$project" --location="$location" query --use_legacy_sql=false \
  "GRANT \`roles/bigquery.dataEditor\` ON SCHEMA \`$project\`.$dataset TO \"serviceAccount:$worker\""
for role in roles/storage.objectUser roles/storage.legacyBucketReader; do
  retry gcloud storage buckets add-iam-policy-binding "gs://$bucket" --project="$project" \
    --member="serviceAccount:$worker" --role="$role"
done
retry gcloud artifacts repositories add-iam-policy-binding seatrial-models --project="$project" --location="$region" \
  --member="serviceAccount:$worker" --role=roles/artifactregistry.writer
grant roles/container.clusterViewer "$worker"

heading 'Cluster: three nodes, with NetworkPolicies and Workload Identity'
ensure gcloud container clusters describe "$cluster" --project="$project" --location="$zone" \
  -- gcloud container clusters create "$cluster" --project="$project" --location="$zone" --num-nodes=3 \
  --machine-type="$machine_type" --release-channel=regular --enable-ip-alias --enable-dataplane-v2 \
  --workload-pool="$project.svc.id.goog" --service-account="$nodes" --enable-shielded-nodes
retry gcloud iam service-accounts add-iam-policy-binding "$worker" --project="$project" \
  --role=roles/iam.workloadIdentityUser --member="serviceAccount:$project.svc.id.goog[seatrial/worker]"
run gcloud container clusters get-credentials "$cluster" --project="$project" --location="$zone"

cat <<END

# Done. The remaining steps:
#
# 1. The images, from the top of the repository:
#      gcloud auth configure-docker $region-docker.pkg.dev
#      for image in bot worker load serving; do
#        docker build --target \$image --tag $registry/seatrial/\$image:0.1.0 .
#        docker push $registry/seatrial/\$image:0.1.0
#      done
#
# 2. The secrets, with the Slack tokens of your app (seatrial manifest):
#      kubectl create namespace seatrial
#      kubectl --namespace seatrial create secret generic redis --from-literal=password="\$(openssl rand -hex 24)"
#      kubectl --namespace seatrial create secret generic slack \\
#        --from-literal=bot-token=xoxb-… --from-literal=app-token=xapp-…
#
# 3. Your names in kustomization.yaml and seatrial.toml:
#      cd k8s/overlays/gke
#      sed -i 's/my-project/$project/g; s/us-central1/$region/g; s|seatrial/US"|seatrial/$location"|' \\
#        kustomization.yaml seatrial.toml
#
# 4. kubectl apply -k k8s/overlays/gke
#
# To read tables of other datasets, workers need roles/bigquery.dataViewer there.
# Settings in seatrial.toml, which step 3 sets in k8s/overlays/gke:

warehouse = "bigquery://$project/$dataset/$location"
artifacts = "gs://$bucket/models"

[environments.staging]
cluster = "kubernetes://in-cluster/seatrial-staging"    # from outside: "gke://$project/$zone/$cluster/seatrial-staging"

[environments.production]
cluster = "kubernetes://in-cluster/seatrial-production"

[images]
repository = "$registry/seatrial-models"
seatrial = "$registry/seatrial/serving:0.1.0"

[loadtest]
image = "$registry/seatrial/load:0.1.0"
END
