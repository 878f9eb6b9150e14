#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# The hit path: FUSE's page cache dropped, the pool warm, against the flat image in the page cache.
. "$(dirname "$0")/lib.sh"
requires_fuse
requires_loop
requires_program qemu-img nbdcopy nbdkit tar

make_bench_store
mount_smrfs "$store" "$work/mnt"
ours=$work/mnt/bench.img
cat "$ours" > /dev/null
cat "$image" > /dev/null
memory=$(mktemp -d /dev/shm/smr-bench.XXXXXX)
cleanup_fn rm -rf "$memory"
flat_loop=$(losetup -r -f --show "$image")
cleanup_fn detach_loop "$flat_loop" "$image"

# ---- plain reads ----

seq_ours() { benchtool drop "$ours"; sample seq.ours benchtool seq "$ours" "$image"; }
seq_flat() { sample seq.flat benchtool seq "$image" "$image"; }
seq_loop() { benchtool drop "$flat_loop"; sample seq.loop benchtool seq "$flat_loop" "$image"; }

rand1_ours() { sample rand1.ours benchtool rand "$ours" "$image" 1 2; }
rand1_loop() { sample rand1.loop benchtool rand "$flat_loop" "$image" 1 2; }
rand4_ours() { sample rand4.ours benchtool rand "$ours" "$image" 4 2; }
rand4_loop() { sample rand4.loop benchtool rand "$flat_loop" "$image" 4 2; }

open_ours() { benchtool drop "$ours"; sample open.ours benchtool open "$ours" 50000; }
open_flat() { sample open.flat benchtool open "$image" 50000; }

# ---- programs ----

# To a file in memory, as who converts does; and to a sink, which has nobody write.
convert()
{
	rm -f "$memory/out.img"
	benchtool run qemu-img convert -f raw -O raw "$1" "$memory/out.img"
}

convert_null()
{
	benchtool run qemu-img convert -n -f raw --target-image-opts "$1" \
		"driver=null-co,size=$(stat -c %s "$image")"
}

convert_ours() { benchtool drop "$ours"; sample convert.ours convert "$ours"; }
convert_flat() { sample convert.flat convert "$image"; }
sink_ours() { benchtool drop "$ours"; sample sink.ours convert_null "$ours"; }
sink_flat() { sample sink.flat convert_null "$image"; }

copy()
{
	benchtool run nbdcopy -- [ nbdkit --exit-with-parent -r file "$1" ] null:
}

nbdcopy_ours() { benchtool drop "$ours"; sample nbdcopy.ours copy "$ours"; }
nbdcopy_flat() { sample nbdcopy.flat copy "$image"; }

# ---- the file system on it ----

# tar_loop FILE DIRECT: everything is attached and mounted anew, so nothing of the file system is cached. A pipe, since
# tar does not read what it would write to /dev/null.
tar_loop()
{
	local device
	device=$(losetup -r -f --show --direct-io="$2" "$1")
	mkdir -p "$work/root"
	mount -t ext4 -o ro,noload "$device" "$work/root"
	benchtool run sh -c "tar -C '$work/root' -cf - . | cat > /dev/null"
	umount "$work/root"
	losetup -d "$device"
}

tar_ours() { benchtool drop "$ours"; sample tar.ours tar_loop "$ours" on; }
tar_flat() { sample tar.flat tar_loop "$image" off; }
tar_flat_direct() { sample tar.flat-direct tar_loop "$image" on; }

interleave seq_ours seq_flat seq_loop
interleave rand1_ours rand1_loop rand4_ours rand4_loop
interleave open_ours open_flat
interleave convert_ours convert_flat sink_ours sink_flat
rm -f "$memory/out.img"
interleave nbdcopy_ours nbdcopy_flat
interleave tar_ours tar_flat tar_flat_direct
keep fuse

table "fuse: page cache of the mount dropped, pool warm"
compare "sequential 1 MiB / pread of the flat image" seq.ours seq.flat '>=' 0.20 rate
compare "sequential 1 MiB / buffered loop on the flat image" seq.ours seq.loop '>=' 1 rate
compare "random 4 KiB O_DIRECT, 1 thread / loop" rand1.ours rand1.loop '>=' 1.3 figure /s %.0f
compare "random 4 KiB O_DIRECT, 4 threads / loop" rand4.ours rand4.loop '>=' 0.9 figure /s %.0f
compare "open + read 4 KiB + close / flat (time)" open.ours open.flat '<=' 2 figure us
compare_times "qemu-img convert / flat" convert.ours convert.flat '>=' 0.6 figure s
compare_times "the same into a sink" sink.ours sink.flat - '' figure s
compare_times "nbdcopy / flat" nbdcopy.ours nbdcopy.flat '>=' 0.7 figure s
compare_times "tar of the ext4 on loop / loop on the flat image" tar.ours tar.flat '>=' 0.8 figure s
compare_times "the same, both loops with direct I/O" tar.ours tar.flat-direct - '' figure s
