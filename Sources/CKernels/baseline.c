// Any processor: correct, and slow where it has no fused multiply-add.
#define LS_TABLE ls_baseline
#define LS_NAME "baseline"
#define LS_TILE_ROWS 4
#define LS_VECTORS 1
#include "template.h"
