# Chooses the slot. One script for U-Boot on a Raspberry Pi and on QEMU's "virt"; slot_state.py says what it reads and writes.
# The card is ${devtype} ${devnum}; U-Boot set both when it found this script. Numbers are hexadecimal.
${devtype} dev ${devnum}
setexpr one ${scriptaddr} + 10000
setexpr two ${scriptaddr} + 10200
setexpr plain ${scriptaddr} + 10400
setexpr plain_data ${plain} + 4
setexpr one_count ${one} + 4
setexpr one_data ${one} + 5
setexpr two_count ${two} + 4
setexpr two_data ${two} + 5

# U-Boot can check a copy that has no counter: so the counter is taken out
setenv newest
setenv BOOT_ORDER; setenv BOOT_A_LEFT; setenv BOOT_B_LEFT
mw.b ${one} 0 200; mw.b ${two} 0 200
setenv one_valid; setenv two_valid
if ${devtype} read ${one} @ONE@ 1; then
  cp.b ${one} ${plain} 4; cp.b ${one_data} ${plain_data} 1fb
  if env import -c ${plain} 1ff BOOT_ORDER; then setenv one_valid 1; fi
fi
if ${devtype} read ${two} @TWO@ 1; then
  cp.b ${two} ${plain} 4; cp.b ${two_data} ${plain_data} 1fb
  if env import -c ${plain} 1ff BOOT_ORDER; then setenv two_valid 1; fi
fi
setexpr.b one_n *${one_count}
setexpr.b two_n *${two_count}
if test -n "${one_valid}"; then
  setenv newest one
  if test -n "${two_valid}"; then
    if itest ${two_n} -gt ${one_n}; then setenv newest two; fi
    if test "${one_n}/${two_n}" = "0/ff"; then setenv newest one; fi
    if test "${one_n}/${two_n}" = "ff/0"; then setenv newest two; fi
  fi
elif test -n "${two_valid}"; then setenv newest two; fi
setenv BOOT_ORDER
if test "${newest}" = one; then
  cp.b ${one} ${plain} 4; cp.b ${one_data} ${plain_data} 1fb
  setenv count ${one_n}; setenv target ${two}; setenv target_count ${two_count}; setenv target_data ${two_data}; setenv sector @TWO@
else
  cp.b ${two} ${plain} 4; cp.b ${two_data} ${plain_data} 1fb
  setenv count ${two_n}; setenv target ${one}; setenv target_count ${one_count}; setenv target_data ${one_data}; setenv sector @ONE@
fi
if test -n "${newest}"; then env import -c ${plain} 1ff BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; fi
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
echo "slots: ${BOOT_ORDER}, tries left A ${BOOT_A_LEFT}, B ${BOOT_B_LEFT}, by copy: ${newest}"

setenv slot
for s in ${BOOT_ORDER}; do
  if test -n "${slot}"; then true;
  elif test "${s}" = A; then
    if itest ${BOOT_A_LEFT} -gt 0; then setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1; setenv slot A; setenv part 2; fi
  elif test "${s}" = B; then
    if itest ${BOOT_B_LEFT} -gt 0; then setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1; setenv slot B; setenv part 3; fi
  fi
done
if test -z "${slot}"; then
  # a device that is dead helps nobody: both are tried again, in the order that was chosen
  echo "slots: no tries are left, counting anew"
  setenv BOOT_A_LEFT 3; setenv BOOT_B_LEFT 3
fi

# the older copy is written, so that the newer one is whole until this one is
env export -c -s 1ff ${plain} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
setexpr count ${count} + 1
setexpr count ${count} \& ff
cp.b ${plain} ${target} 4; mw.b ${target_count} ${count}; cp.b ${plain_data} ${target_data} 1fb
${devtype} write ${target} ${sector} 1
if test -z "${slot}"; then reset; fi
echo "slots: booting ${slot}"

# the serial port of a Raspberry Pi's header is the receiver's: the kernel must not write there
setenv console
if test "${board}" = rpi; then setenv console "console=tty0"; fi
setenv bootargs "root=PARTUUID=@DISK@-0${part} rootfstype=ext4 ro rootwait panic=10 rauc.slot=${slot} ${console}"
# 128 MiB behind the kernel: on a Raspberry Pi ${ramdisk_addr_r} is 38 MiB behind it, and Debian's kernel is longer
setexpr initrd ${kernel_addr_r} + 8000000
if load ${devtype} ${devnum}:${part} ${kernel_addr_r} /boot/vmlinuz; then
  if load ${devtype} ${devnum}:${part} ${initrd} /boot/initrd.img; then
    if test -n "${fdt_addr}"; then setenv tree ${fdt_addr}; else setenv tree ${fdtcontroladdr}; fi
    booti ${kernel_addr_r} ${initrd}:${filesize} ${tree}
  fi
fi
echo "slots: ${slot} does not boot"
sleep 1
reset
