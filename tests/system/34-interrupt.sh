#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Who waits for an origin that does not answer can be killed at once, and what was given up harms nobody else.
. "$(dirname "$0")/functions.sh"
requires_fuse
requires_program python3

for name in a b c; do
	head -c 8M /dev/urandom > "$work/$name.img"
	smr -s "$work/store" chunk -q "$work/$name.img"
done
start_origin "$work/store"
mount_smrfs "$origin_url" "$work/mnt" -o timeout=12
file=$work/mnt/a.img
[ "$(stat -c %s "$file")" -eq 8388608 ]
# one chunk and the recipe are here, the rest is not
head -c 4096 "$file" | cmp - <(head -c 4096 "$work/a.img")

# killed SIGNAL MS COMMAND...: the command waits, and after the signal is gone within so many milliseconds.
killed()
{
	local sig=$1 limit=$2 pid start took
	shift 2
	"$@" > "$work/killed.out" 2>&1 &
	pid=$!
	sleep 0.5
	kill -0 "$pid" 2> /dev/null || die "does not wait: $*: $(cat "$work/killed.out")"
	start=$(now_ms)
	kill -"$sig" "$pid"
	wait "$pid" 2> /dev/null || true
	took=$(($(now_ms) - start))
	[ "$took" -lt "$limit" ] || die "took $took ms to die of SIG$sig: $*"
}

# A page fault without read-ahead is one request of the reader's own, so that the kernel sends INTERRUPT.
cat > "$work/fault.py" << 'END'
import mmap, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
m = mmap.mmap(os.open(sys.argv[1], os.O_RDONLY), 0, prot=mmap.PROT_READ)
m.madvise(mmap.MADV_RANDOM)
print(m[int(sys.argv[2])])
END

origin_fault stall /chunks/
killed KILL 1000 dd if="$file" of=/dev/null bs=4k count=1 skip=300
killed TERM 1000 dd if="$file" of=/dev/null bs=4k count=1 skip=500
killed INT 1000 python3 "$work/fault.py" "$file" 3145728
killed KILL 1000 python3 "$work/fault.py" "$file" 3145728
# Direct I/O waits in the kernel where no signal reaches: the deadline ends it.
killed KILL 13000 dd if="$file" of=/dev/null bs=64k count=1 skip=80 iflag=direct

# What is here is served all the time; who asks for the same chunk as one who was killed gets it in the end.
head -c 4096 "$file" | cmp - <(head -c 4096 "$work/a.img")
cmp -n 4096 -i 3145728 "$file" "$work/a.img" &
waiting=$!
killed KILL 1000 python3 "$work/fault.py" "$file" 3145728
origin_do clear
wait "$waiting" || die "a reader went down with another that was killed"

# A signal that is handled interrupts nothing: on a regular file nobody expects that.
umount_smrfs "$work/mnt"
mount_smrfs "$origin_url" "$work/mnt" -o "cache=$work/other,timeout=12"
stat "$file" > /dev/null
origin_fault stall a.recipe
cat > "$work/handled.py" << 'END'
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
fd = os.open(sys.argv[1], os.O_RDONLY)
assert os.lseek(fd, 0, os.SEEK_DATA) == 0
assert os.lseek(fd, 0, os.SEEK_HOLE) == 8388608
END
python3 "$work/handled.py" "$file" &
waiting=$!
sleep 1
kill -0 "$waiting" || die "it did not wait: this proves nothing"
origin_do clear
wait "$waiting" || die "a signal that was handled ended a request"

# A name that is not known waits for the store's list; meanwhile the known ones are found.
sleep 1.1
origin_fault stall 'index\.json|recipes'
killed INT 1000 python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.stat(sys.argv[1])' "$work/mnt/unknown.img"
ls "$work/mnt/unknown2.img" > /dev/null 2>&1 &
unknown=$!
sleep 0.3
within 1 stat "$work/mnt/b.img" > /dev/null
kill -0 "$unknown" || die "the unknown name was answered: this proves nothing"
origin_do clear
! wait "$unknown" || die "an unknown name was found"

for name in a b c; do
	same_bytes "$work/mnt/$name.img" "$work/$name.img"
done
umount_smrfs "$work/mnt"
