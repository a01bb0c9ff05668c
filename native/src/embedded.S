/* The linked BPF object inside the addon's read-only data. */
	.section .rodata
	.balign 16
	.hidden vedette_bpf_start
	.hidden vedette_bpf_end
	.global vedette_bpf_start
	.global vedette_bpf_end
vedette_bpf_start:
	.incbin VEDETTE_BPF_OBJECT
vedette_bpf_end:
	.byte 0
	.section .note.GNU-stack, "", %progbits
