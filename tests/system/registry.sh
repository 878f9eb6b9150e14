# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash disable=SC2034  # what functions set, tests use
# What the tests of registries share; after functions.sh.

regpull=$BUILD_DIR/tests/system/regpull
# nothing of who runs the tests takes part
export HOME=$work/home DOCKER_CONFIG=$work/docker SMR_CACHE=$work/cache
unset XDG_CONFIG_HOME REGISTRY_AUTH_FILE SMR_AUTH_HOSTS SSL_CERT_FILE
export XDG_RUNTIME_DIR=$work/run
mkdir -p "$HOME" "$DOCKER_CONFIG" "$XDG_RUNTIME_DIR"

# start_registry [AUTH-YAML]: the real one, empty. Sets registry (HOST:PORT), registry_log.
start_registry()
{
	requires_program docker-registry skopeo python3
	local dir pid
	dir=$(mktemp -d "$work/registry.XXXX")
	free_port
	registry=127.0.0.1:$port
	registry_log=$dir/log
	cat > "$dir/config.yml" <<-END
		version: 0.1
		log: {level: info, accesslog: {disabled: false}}
		storage: {filesystem: {rootdirectory: $dir/data}, delete: {enabled: true}}
		http: {addr: "$registry"}
		${1-}
	END
	docker-registry serve "$dir/config.yml" > "$registry_log" 2>&1 &
	pid=$!
	cleanup_fn stop_process "$pid"
	registry_data=$dir/data
	wait_for 20 registry_answers
}

registry_answers()
{
	curl -s -o "$work/v2" "http://$registry/v2/"
}

# make_layout DIR [LAYERS [BYTES]]: an OCI image layout with incompressible layers, and its name: latest.
make_layout()
{
	python3 - "$1" "${2-3}" "${3-1000000}" <<-'END'
		import gzip, hashlib, io, json, os, random, sys, tarfile
		top, n, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		os.makedirs(top + "/blobs/sha256", exist_ok=True)
		def put(data, kind):
		    d = hashlib.sha256(data).hexdigest()
		    open(f"{top}/blobs/sha256/{d}", "wb").write(data)
		    return {"mediaType": kind, "digest": "sha256:" + d, "size": len(data)}
		layers, ids = [], []
		for i in range(n):
		    raw = io.BytesIO()
		    with tarfile.open(fileobj=raw, mode="w") as t:
		        data = random.Random(i).randbytes(size)
		        info = tarfile.TarInfo(f"file{i}")
		        info.size = len(data)
		        t.addfile(info, io.BytesIO(data))
		    ids.append("sha256:" + hashlib.sha256(raw.getvalue()).hexdigest())
		    layers.append(put(gzip.compress(raw.getvalue(), 1, mtime=0), "application/vnd.oci.image.layer.v1.tar+gzip"))
		def image(arch, variant=None):
		    c = {"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}, "config": {"Cmd": [arch]}}
		    if variant: c["variant"] = variant
		    c = put(json.dumps(c).encode(), "application/vnd.oci.image.config.v1+json")
		    m = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": c, "layers": layers}
		    return put(json.dumps(m).encode(), "application/vnd.oci.image.manifest.v1+json")
		one = image("amd64")
		many = []
		for arch, variant in (("amd64", None), ("arm64", "v8"), ("arm", "v6"), ("arm", "v7")):
		    d = image(arch, variant)
		    d["platform"] = {"os": "linux", "architecture": arch}
		    if variant: d["platform"]["variant"] = variant
		    many.append(d)
		index = put(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
		    "manifests": many}).encode(), "application/vnd.oci.image.index.v1+json")
		one["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
		index["annotations"] = {"org.opencontainers.image.ref.name": "many"}
		json.dump({"schemaVersion": 2, "manifests": [one, index]}, open(top + "/index.json", "w"))
		json.dump({"imageLayoutVersion": "1.0.0"}, open(top + "/oci-layout", "w"))
	END
}

# push LAYOUT REPOSITORY[:TAG] [SKOPEO-OPTION...]
push()
{
	skopeo --insecure-policy copy -q --all --dest-tls-verify=false "${@:3}" "oci:$1" "docker://$registry/$2"
}

# said KEY: what the last pull printed.
said()
{
	awk -v key="$1" '$1 == key { print $2 }' "$work/pulled"
}

# pull OPTION... REFERENCE [DIR]: into $work/pulled.
pull()
{
	"$regpull" "$@" > "$work/pulled" 2> "$work/pull.err" || {
		cat "$work/pull.err" >&2
		return 1
	}
}

# blobs_are_those_of LAYOUT DIR: each layer that was pulled is byte for byte the one of the layout.
blobs_are_those_of()
{
	local n digest
	while read -r _ n digest _; do
		cmp "$2/$n" "$1/blobs/sha256/${digest#sha256:}"
	done < <(grep '^layer ' "$work/pulled")
	[ "$(grep -c '^layer ' "$work/pulled")" -eq "$(said layers)" ]
}
