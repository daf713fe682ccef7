import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { queryClient } from './api.ts';
import { allowOwnStyles } from './nonce.ts';
import { router } from './router.tsx';
import { redeemLink } from './sign-in/link.ts';
import { Confirmations } from './ui/confirm.tsx';
import { TipProvider } from './ui/tip.tsx';
import { Toasts } from './ui/toasts.tsx';
import './styles.css';

allowOwnStyles();
await redeemLink();

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <TipProvider delayDuration={400}>
        <RouterProvider router={router} />
        <Confirmations />
        <Toasts />
      </TipProvider>
    </QueryClientProvider>
  </StrictMode>,
);
