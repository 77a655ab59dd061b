#ifndef FAPWS_SIGMASK_H
#define FAPWS_SIGMASK_H

/* Reports whether sig arrived between two programs of an upgrade, and was then ignored. */
int fapws_signal_arrived(int sig);

#endif
