/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of /proc/self/mountinfo, proc(5). Pure. */
#ifndef FS_MOUNTINFO_H
#define FS_MOUNTINFO_H

#include <stdbool.h>

/* Is this a line about an smrfs mounted on `mountpoint`, an absolute path without links? Its device
 * if so. */
bool mountinfo_parse(
	const char *line, const char *mountpoint, unsigned *ret_major, unsigned *ret_minor);

#endif
