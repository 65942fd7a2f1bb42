-- Written from the contract payments.transaction; `caudal batch staging` writes it again. Do not edit.
with

source as (

    select * from {{ source('pinned', 'payments_transaction') }}

),

-- Nobody sees the mask of an erased person, also where silver has not been cleaned yet.
erased as (

    select subject_ref from {{ source('pinned', '_erased') }}

),

final as (

    select
        source.event_id,
        source.tenant_id,
        source.transaction_id,
        source.account_id,
        source.amount,
        source.currency,
        source.method,
        source.merchant_id,
        if(erased.subject_ref is null, source.customer_cpf, null) as customer_cpf,
        if(erased.subject_ref is null, source.customer_email, null) as customer_email,
        if(erased.subject_ref is null, source.customer_phone, null) as customer_phone,
        if(erased.subject_ref is null, source.bank_account, null) as bank_account,
        if(erased.subject_ref is null, source.card_number, null) as card_number,
        if(erased.subject_ref is null, source.device_id, null) as device_id,
        if(erased.subject_ref is null, source.ip_address, null) as ip_address,
        if(erased.subject_ref is null, source.payee_cpf, null) as payee_cpf,
        source.occurred_at,
        source.subject_ref,
        source.card_ref,
        source.device_ref,
        source.ip_ref,
        source.payee_ref,
        source._observed_at,
        source._published_at,
        source._contract_version,
        source._version,
        source._late,
        source._suppressed
    from source
    left join erased on source.subject_ref = erased.subject_ref

)

select * from final
