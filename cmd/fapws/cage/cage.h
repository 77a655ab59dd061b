#ifndef FAPWS_CAGE_H
#define FAPWS_CAGE_H

/* The variable of the environment that has the cage of a worker, an absolute path. */
#define FAPWS_CAGE "FAPWS_CAGE"

/* Makes the cage the root directory of this process, once. Returns 0, or errno. */
int fapws_cage_enter(void);

#endif
