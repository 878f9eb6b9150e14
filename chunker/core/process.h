/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a daemon of many small threads and many descriptors sets for its process. Call before threads
 * are started.
 */
#ifndef CORE_PROCESS_H
#define CORE_PROCESS_H

/* Small stacks, few malloc arenas. */
void process_limit_memory(void);
/* As many descriptors as the hard limit lets have. */
void process_raise_descriptors(void);

#endif
