/** At which ports of its vsock a guest has its lines, where it has no serial ones. */
export const guestPorts = { link: 1024, control: 1025 } as const;
