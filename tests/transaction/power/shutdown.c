/* Cuts the power of the ext4 file system at a path: what is not on its disk by now never gets
   there, its journal included. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>

#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define GOING_FLAGS_NOLOGFLUSH 2

int main(int argc, char **argv) {
    uint32_t how = GOING_FLAGS_NOLOGFLUSH;
    int root = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
    if (root < 0 || ioctl(root, FS_IOC_SHUTDOWN, &how) < 0) {
        perror("shutdown");
        return 1;
    }
    return 0;
}
