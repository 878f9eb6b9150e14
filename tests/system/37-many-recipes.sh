#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# A thousand recipes: all are listed, once, also while others appear and go and the kernel forgets what it knew; the
# process stays small.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program python3

n=1000
for ((i = 0; i < n; i++)); do
	printf '%s' "$i" > "$work/data"
	truncate -s $((1048576 + i * 512)) "$work/data"
	smr -s "$work/store" chunk -q --name "$(printf 'image-%04d' "$i")" "$work/data"
done
mnt=$work/mnt
mount_smrfs "$work/store" "$mnt"
pid=${smrfs_pids[$mnt]}
rss_kib()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"
}

count()
{
	find "$mnt" -name '*.img' | wc -l
}

[ "$(count)" -eq $n ]
[ "$(find "$mnt" -name '*.img' -printf '%s\n' | awk '{ s += $1 } END { print s }')" -eq $((n * 1048576 + 512 * n * (n - 1) / 2)) ]
for i in 0 7 499 999; do
	[ "$(tr -d '\0' < "$mnt/$(printf 'image-%04d' $i).img")" = $i ] || die "image $i holds something else"
done
[ -n "${SANITIZE-}" ] || [ "$(rss_kib)" -le 65536 ] || die "$(rss_kib) KiB are resident"

# A directory is read in parts while names come and go: what was there all the time is seen once.
cat > "$work/walk.py" << 'END'
import os, subprocess, sys, time
mnt, store, data = sys.argv[1:]
def smr(*args):
    subprocess.run(["smr", "-s", store, *args], check=True, stdout=subprocess.DEVNULL)
seen = []
with os.scandir(mnt) as it:
    for i, entry in enumerate(it):
        seen.append(entry.name)
        if i == 10:
            smr("rm", "-q", "image-0003", "image-0998")
            smr("chunk", "-q", "--name", "image-0000a", data)
            deadline = time.monotonic() + 5
            while not os.path.exists(mnt + "/image-0000a.img"):
                assert time.monotonic() < deadline, "the new image does not appear"
                time.sleep(0.1)
assert len(seen) == len(set(seen)), "a name was listed twice"
missing = {f"image-{i:04d}.img" for i in range(1000)} - set(seen) - {"image-0003.img", "image-0998.img"}
assert not missing, missing
END
python3 "$work/walk.py" "$mnt" "$work/store" "$work/data"
listed()
{
	[ "$(count)" -eq $((n - 1)) ]
}
wait_for 4 listed

# forgotten by the kernel in bulk, known again afterwards
if [ "$(id -u)" -eq 0 ]; then
	exec 7< "$mnt/image-0500.img"
	sync -f "$work"
	echo 2 > /proc/sys/vm/drop_caches
	[ "$(tr -d '\0' <&7)" = 500 ]
	exec 7<&-
	[ "$(tr -d '\0' < "$mnt/image-0501.img")" = 501 ]
fi

# everybody lists and opens at once
for worker in 1 2 3 4 5 6 7 8; do
	(
		for _ in 1 2 3; do
			ls -l "$mnt" > /dev/null
			for ((i = worker; i < n; i += 97)); do
				head -c 3 "$mnt/$(printf 'image-%04d' "$i").img" > /dev/null 2>&1 || [ "$i" -eq 3 ] || [ "$i" -eq 998 ]
			done
		done
	) &
	workers[worker]=$!
done
for worker in "${workers[@]}"; do
	wait "$worker"
done
[ -n "${SANITIZE-}" ] || [ "$(rss_kib)" -le 65536 ] || die "$(rss_kib) KiB are resident"
umount_smrfs "$mnt"
