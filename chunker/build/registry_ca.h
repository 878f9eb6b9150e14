/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whom a registry's certificate may be signed by, beside the system's authorities: FILE of the caller, and what docker and
 * podman are told, all *.crt of the first of these folders that is there:
 *
 *     $XDG_CONFIG_HOME/containers/certs.d/HOST[:PORT]/   (or ~/.config/...)
 *     /etc/containers/certs.d/HOST[:PORT]/
 *     /etc/docker/certs.d/HOST[:PORT]/
 *
 * Client certificates (*.cert, *.key) in there are not used.
 */
#ifndef BUILD_REGISTRY_CA_H
#define BUILD_REGISTRY_CA_H

#include "../core/error.h"

/* A descriptor of all of them in one PEM file, as /proc/self/fd/N of it, until it is closed. -1: the system's are all there are;
 * *ret_fd is set in any case of success. `file` may be NULL. -ENOENT, -EACCES...: FILE or a certificate cannot be read; -EFBIG;
 * -EINVAL: FILE has no certificate in it. */
int registry_ca_bundle(const char *host, const char *file, int *ret_fd, struct smr_error *err);

#endif
