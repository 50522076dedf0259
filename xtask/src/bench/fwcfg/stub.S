# A guest of 300 bytes that reads one content of QEMU's fw_cfg device and ends.
#
# It is all the firmware there is: 64 KiB of ROM at F0000, in real mode, without BIOS or kernel, so that every access
# to the device is one that stands here. WAY (see stub.rs) says how it reads:
#   0  not at all: what is left is what the others cost besides
#   1  a byte at a time: `in`
#   2  a page at a time: `rep insb`
#   3  at once, by DMA
#   4  a page at a time, each begun again at byte 0: as Linux does, so the bench says
# It writes `b` to the debug console before it reads and `e` after, then the sum of the content's 32-bit words.
#
# Ports and records: QEMU, docs/specs/fw_cfg. Selector 0x510, data 0x511, DMA address 0x514 (big-endian). The content is
# called opt/labinator/bench, comes in whole words, and is kept from linear address 0x10000 on.

    .code16
    .text
start:
    cli
    cld
    xor     %ax, %ax
    mov     %ax, %es
    mov     %ax, %ss
    mov     $0x7000, %sp
    mov     %cs, %ax
    mov     %ax, %ds                # the name below lies in the ROM

    # The directory, key 0x19: a count (passed over), then records of 64 bytes: size, key, two spare bytes, name.
    mov     $0x19, %bx
    call    select
    mov     $0x1000, %di
    mov     $4, %cx
    rep insb
record:
    mov     $0x1000, %di
    mov     $64, %cx
    rep insb
    mov     $name, %si
    mov     $0x1008, %di
    mov     $name_end - name, %cx
    repe cmpsb
    jne     record
    mov     %es:0x1000, %ebp
    bswap   %ebp                    # ebp: size
    mov     %es:0x1004, %bx
    xchg    %bl, %bh                # bx: key

    mov     $0x1000, %ax
    mov     %ax, %es
    xor     %di, %di                # es:di: where the next byte goes
    xor     %esi, %esi              # esi: bytes read
    mov     $'b', %al
    out     %al, $0xe9

    .if WAY == 1
    call    select
1:  in      %dx, %al
    stosb
    call    carry
    inc     %esi
    cmp     %ebp, %esi
    jb      1b
    .endif

    .if WAY == 2
    call    select
1:  call    page
    cmp     %ebp, %esi
    jb      1b
    .endif

    .if WAY == 3
    xor     %ax, %ax
    mov     %ax, %ds
    mov     %bx, %ax
    xchg    %al, %ah
    mov     %ax, 0x1000             # control: the key,
    movw    $0x0a00, 0x1002         # select it and read
    mov     %ebp, %eax
    bswap   %eax
    mov     %eax, 0x1004            # length
    movl    $0, 0x1008              # to 0x10000
    movl    $0x00000100, 0x100c
    mov     $0x514, %dx
    xor     %eax, %eax
    out     %eax, %dx               # the record lies at 0x1000: high half,
    mov     $0x518, %dx
    mov     $0x00100000, %eax
    out     %eax, %dx               # low half, which starts it
1:  cmpl    $0, 0x1000              # zero: done; one: failed, and the host stops waiting
    jne     1b
    .endif

    .if WAY == 4
2:  call    select
    mov     %esi, %ecx
    jecxz   3f
1:  in      %dx, %al
    addr32 loop 1b
3:  call    page
    cmp     %ebp, %esi
    jb      2b
    .endif

    mov     $'e', %al
    out     %al, $0xe9
    mov     $0x1000, %ax
    mov     %ax, %ds
    xor     %si, %si
    xor     %ebx, %ebx
1:  lodsl
    add     %eax, %ebx
    test    %si, %si
    jnz     2f
    mov     %ds, %cx
    add     $0x1000, %cx
    mov     %cx, %ds
2:  sub     $4, %ebp
    ja      1b
    mov     $4, %cx
1:  mov     %bl, %al
    out     %al, $0xe9
    shr     $8, %ebx
    loop    1b
    out     %al, $0xf4              # QEMU ends
    hlt

select:                             # key bx; dx becomes the data port
    mov     $0x510, %dx
    mov     %bx, %ax
    out     %ax, %dx
    inc     %dx
    ret

page:                               # the next page, or what is left of the last one
    mov     %ebp, %ecx
    sub     %esi, %ecx
    cmp     $4096, %ecx
    jbe     1f
    mov     $4096, %ecx
1:  add     %ecx, %esi
    rep insb
carry:                              # di has gone round: the next 64 KiB
    test    %di, %di
    jnz     1f
    mov     %es, %ax
    add     $0x1000, %ax
    mov     %ax, %es
1:  ret

name:
    .asciz  "opt/labinator/bench"
name_end:
    .org    0xfff0                  # where the processor starts
    ljmp    $0xf000, $start
    .org    0x10000
