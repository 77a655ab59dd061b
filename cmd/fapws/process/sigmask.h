#ifndef FAPWS_SIGMASK_H
#define FAPWS_SIGMASK_H

/* Reports whether sig, one that Go's start unblocks or that is ignored until then, arrived between two programs of an
 * upgrade. */
int fapws_signal_arrived(int sig);

#endif
