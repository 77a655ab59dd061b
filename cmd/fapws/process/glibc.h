/* Makes the linker use the oldest symbol versions of libc's functions, so that the library in a wheel runs with every
 * glibc since 2.17 (manylinux_2_17, PEP 600). Most of these functions have a second symbol version, with the same
 * behaviour, since glibc 2.34 moved them to libc.so. scripts/package.sh includes this file before every C file. glibc
 * 2.17 lacks stat and memfd_create, so preload.c defines them. */
#if !defined(FAPWS_GLIBC_H) && !defined(__ASSEMBLER__)
#define FAPWS_GLIBC_H

#if defined(__x86_64__)
#define FAPWS_OLDEST(x86_64, arm) x86_64
#elif defined(__aarch64__)
#define FAPWS_OLDEST(x86_64, arm) "GLIBC_2.17"
#elif defined(__arm__)
#define FAPWS_OLDEST(x86_64, arm) arm
#endif

#define FAPWS_AS(name, old, version) __asm__(".symver " #name "," #old "@" version)
#define FAPWS_OLD(name) FAPWS_AS(name, name, FAPWS_OLDEST("GLIBC_2.2.5", "GLIBC_2.4"))

#ifdef FAPWS_OLDEST
FAPWS_OLD(dladdr);
FAPWS_AS(dlinfo, dlinfo, FAPWS_OLDEST("GLIBC_2.3.3", "GLIBC_2.4"));
FAPWS_OLD(dlopen);
FAPWS_OLD(dlsym);
FAPWS_OLD(pthread_attr_getstack);
FAPWS_OLD(pthread_attr_getstacksize);
FAPWS_AS(pthread_condattr_setclock, pthread_condattr_setclock, FAPWS_OLDEST("GLIBC_2.3.3", "GLIBC_2.4"));
FAPWS_OLD(pthread_create);
FAPWS_OLD(pthread_detach);
FAPWS_OLD(pthread_getattr_np);
FAPWS_OLD(pthread_getcpuclockid);
FAPWS_OLD(pthread_getspecific);
FAPWS_OLD(pthread_join);
FAPWS_OLD(pthread_key_create);
FAPWS_OLD(pthread_kill);
FAPWS_AS(pthread_setname_np, pthread_setname_np, FAPWS_OLDEST("GLIBC_2.12", "GLIBC_2.12"));
FAPWS_OLD(pthread_setspecific);
FAPWS_OLD(pthread_sigmask);
FAPWS_OLD(sem_destroy);
FAPWS_OLD(sem_init);
FAPWS_OLD(sem_post);
FAPWS_OLD(sem_timedwait);
FAPWS_OLD(sem_trywait);
FAPWS_OLD(sem_wait);
FAPWS_AS(fcntl64, fcntl, FAPWS_OLDEST("GLIBC_2.2.5", "GLIBC_2.4"));
/* the C23 versions also accept binary numbers such as 0b1, which this program does not need */
FAPWS_AS(__isoc23_sscanf, sscanf, FAPWS_OLDEST("GLIBC_2.2.5", "GLIBC_2.4"));
FAPWS_AS(__isoc23_strtol, strtol, FAPWS_OLDEST("GLIBC_2.2.5", "GLIBC_2.4"));
FAPWS_AS(__isoc23_strtoull, strtoull, FAPWS_OLDEST("GLIBC_2.2.5", "GLIBC_2.4"));
FAPWS_AS(res_search, __res_search, FAPWS_OLDEST("GLIBC_2.2.5", "GLIBC_2.4"));
#endif

#endif
